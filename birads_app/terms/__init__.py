"""The field's words: BI-RADS categories and lexicon, views, hanging order, messages and errors."""
