"""Sentence ends as code point offsets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.sentences import sentence_ends


def test_offsets_are_code_points_and_paragraphs_end_sentences() -> None:
    text = "Größe zählt. 漢字。 Dr. Smith came.\n\nNo end mark\n\nLast one!"
    parts = []
    start = 0
    for end in sentence_ends(text, "en"):
        parts.append(text[start:end].strip())
        start = end
    assert parts[0] == "Größe zählt."
    assert parts[-2:] == ["No end mark", "Last one!"]
    assert any(part.endswith("Dr. Smith came.") for part in parts)


# The twelve languages with most speakers and some other scripts; `|` stands where a sentence ends. Abbreviations,
# prices, ordinals, times and quotations end none.
GOLDEN = [
    ("en", 'Dr. Smith paid $3.50 for it.| "Really?" she asked.| Yes!| It was 5 p.m. on Monday.|'),
    ("zh", "今天天气很好。|我们去公园散步吧！|你来吗？|他说：“我不去。”|然后就走了。|"),
    ("hi", "आज मौसम अच्छा है।| क्या तुम आओगे?| हाँ, मैं आऊँगा!| डॉ. शर्मा भी आएँगे।|"),
    ("es", "¿Vienes mañana?| ¡Claro que sí!| El Sr. López llegó a las 5.| Luego se fue.|"),
    ("ar", "الطقس جميل اليوم.| هل ستأتي غدا؟| نعم، سآتي!| وصل المعلم.|"),
    ("fr", "M. Dupont est arrivé.| Viendrez-vous demain ?| Oui !| Il a dit : « Non. »| Puis il est parti avec M.|"),
    ("bn", "আজ আবহাওয়া ভালো।| তুমি কি আসবে?| হ্যাঁ, আসব!| সে চলে গেল।|"),
    ("pt", "O Sr. Silva chegou.| Você vem amanhã?| Sim!| Custa R$ 3,50 por dia.|"),
    ("ru", "Сегодня хорошая погода.| Ты придёшь?| Да!| Он родился в 1990 г. в Москве.| Потом уехал.|"),
    ("ur", "آج موسم اچھا ہے۔| کیا تم آؤ گے؟| ہاں!| وہ چلا گیا۔|"),
    ("de", "Das kostet z. B. 3,50 Euro.| Kommst du morgen?| Ja!| Am 3. Mai kam Dr. Müller an.|"),
    ("ja", "今日は天気がいいです。|公園に行きませんか？|はい！|彼は笑った。|"),
    ("id", "Cuaca hari ini bagus.| Apakah kamu datang?| Ya!| Dia pergi.|"),
    ("ko", "오늘 날씨가 좋습니다.| 오시겠습니까?| 네!| 그는 떠났다.|"),
    ("el", "Ο καιρός είναι καλός.| Θα έρθεις;| Ναι!| Έφυγε.|"),
    ("hy", "Այսօր լավ եղանակ է։| Նա գնաց։|"),
    ("am", "ዛሬ አየሩ ጥሩ ነው።| ትመጣለህ?| አዎ!| እሱ ሄደ።|"),
    ("my", "ဒီနေ့ ရာသီဥတု ကောင်းတယ်။| သူသွားပြီ။|"),
]


@pytest.mark.parametrize(("language", "marked"), GOLDEN)
def test_sentences_in_each_script(language: str, marked: str) -> None:
    wanted = []
    for part in marked.split("|")[:-1]:
        wanted.append((wanted[-1] if wanted else 0) + len(part))
    assert sentence_ends(marked.replace("|", ""), language) == wanted


@given(st.text(max_size=200))
def test_ends_ascend_within_the_text(text: str) -> None:
    ends = sentence_ends(text, "en")
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)


def test_text_without_spaces_costs_its_length() -> None:
    start = time.process_time()
    ends = sentence_ends("日本。" * 100_000, "ja")
    assert time.process_time() - start < 10
    assert len(ends) == 100_000
    assert ends[-1] == 300_000
