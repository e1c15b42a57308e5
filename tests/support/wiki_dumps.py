"""MediaWiki dumps as the software exports them, with pages of our own."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

__all__ = ["ARTICLE", "dump", "page"]

_HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Mühlenwiki</sitename>
    <dbname>millwiki</dbname>
    <base>https://de.mills.example/wiki/Haupt%C2%ADseite</base>
    <generator>MediaWiki 1.43.0</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""

ARTICLE = """{{Infobox mill
| name = The [[old mill]]
| built = {{start date|1790}}
}}
[[Datei:Mill.jpg|thumb|left|The '''old''' [[watermill]] in 1900]]
The '''Old Mill''' is a [[watermill|water mill]] on the ''Weser''.<ref name="a">{{cite book|title=Mills}}</ref> It was
built&nbsp;in 1790{{sfn|Smith|1990}} &ndash; twice.<ref name=b /> <!-- not to be seen -->

== History ==
See [https://mills.example the site of the mill]. It burned:
* first in 1801,
* then in 1802.
{| class="wikitable"
! Year !! Event
|-
| 1801 || Fire
|}
<gallery>
Datei:A.jpg|A caption
</gallery>
=== Owners ===
Nobody &amp; somebody.

== Notes ==
{{reflist}}

=== Books ===
{{refbegin}}
[[Kategorie:Mills]] [[Category:Rivers]] [[en:Old Mill]]
__NOTOC__"""


def page(
    title: str,
    text: str,
    *,
    number: int = 1,
    namespace: int = 0,
    redirect: str | None = None,
    model: str = "wikitext",
    times: tuple[str, ...] = ("2024-05-18T01:02:03Z",),
) -> str:
    """A page; of several revisions the newest has the text."""
    revisions = "".join(
        f"""    <revision>
      <id>{number * 100 + index}</id>
      <timestamp>{time}</timestamp>
      <contributor><username>Miller</username><id>7</id></contributor>
      <comment>a &lt;page&gt; of flour</comment>
      <model>{model}</model>
      <format>text/x-wiki</format>
      <text bytes="{len(text)}" xml:space="preserve">{escape(text if time == max(times) else "old")}</text>
      <sha1>abc</sha1>
    </revision>
"""
        for index, time in enumerate(times)
    )
    forward = f"    <redirect title={quoteattr(redirect)} />\n" if redirect else ""
    return f"""  <page>
    <title>{escape(title)}</title>
    <ns>{namespace}</ns>
    <id>{number}</id>
{forward}{revisions}  </page>
"""


def dump(*pages: str) -> bytes:
    """A dump that holds these pages."""
    return (_HEAD + "".join(pages) + "</mediawiki>\n").encode()
