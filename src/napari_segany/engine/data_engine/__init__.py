"""The data engine: a folder of images becomes a data set of masks, with the model's help and records of how.

Kirillov et al. 2023 (arXiv:2304.02643), section 4: assisted, semi-automatic and fully automatic annotation.
"""
