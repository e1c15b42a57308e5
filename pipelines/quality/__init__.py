"""The quality classifier: trained on trusted and raw text, asked by the rule that draws."""
