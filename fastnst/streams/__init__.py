"""Pictures that are read and written in rows, so that no more than a few of them are in memory at once.

Raw PPM and PAM, uncompressed TIFF (BigTIFF, strips, tiles) and PNG are read and written here, pixel for pixel as Pillow reads
them. With the `big` extra libvips reads large JPEG and compressed TIFF in rows. Everything else Pillow decodes whole.
"""

from fastnst.streams.base import PictureRows, Rows, RowWriter, WholeWriter
from fastnst.streams.files import open_rows, open_writer

__all__ = ["PictureRows", "RowWriter", "Rows", "WholeWriter", "open_rows", "open_writer"]
