"""SAM as tensors: encoders, prompt encoder, mask decoder, checkpoints. Knows no images and no files but weights."""
