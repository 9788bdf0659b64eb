"""Layers have PyTorch's names, arguments, weights and initial values, and print as PyTorch's do.

A setting that makes no sense is a TypeError or a ValueError that says what the setting must be.
"""

from minigrad.nn.activations import ELU, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from minigrad.nn.convolution import Conv2d, ConvTranspose2d
from minigrad.nn.dropout import Dropout
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module, Parameter, Sequential
from minigrad.nn.normalization import BatchNorm1d, BatchNorm2d
from minigrad.nn.pooling import AvgPool2d, MaxPool2d
from minigrad.nn.shapes import Flatten, PixelShuffle, Unflatten

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "ELU",
    "Flatten", "LeakyReLU", "Linear", "MaxPool2d", "Module", "Parameter", "PixelShuffle", "ReLU",
    "Sequential", "Sigmoid", "Softplus", "Tanh", "Unflatten",
]  # fmt: skip
