"""The networks: scoring VGG-19, encoders and decoders of any width. Needs torch."""
