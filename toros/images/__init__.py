"""Header dialects, FITS in and out, previews."""

from toros.images.dialects import translate
from toros.images.facts import FRAME_TYPES, FrameFacts, FrameType, HeaderRule
from toros.images.frames import read_facts
from toros.images.pixels import FrameReader, open_frame
from toros.images.preview import preview
from toros.images.products import ProductWriter, product_writer, read_product, write_product

__all__ = [
    "FRAME_TYPES",
    "FrameFacts",
    "FrameReader",
    "FrameType",
    "HeaderRule",
    "ProductWriter",
    "open_frame",
    "preview",
    "product_writer",
    "read_facts",
    "read_product",
    "translate",
    "write_product",
]
