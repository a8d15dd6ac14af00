"""The scrub: every turn of a crisis chat log leaves this room without what could name a person.

Layers: a normaliser that keeps offsets, pattern recognizers behind cheap gates, spaCy's entity recogniser in batches, an ONNX
token classifier, propagation through the conversation, and a residual gate that does not trust the layers before it.
Everything is a Presidio recognizer, NLP engine or anonymizer operator. Heavy libraries are imported when a scrubber is built.
"""
