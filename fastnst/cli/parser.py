"""The options of ``fastnst stylize``."""

from __future__ import annotations

import argparse

from fastnst.cli.values import (
    COLORS,
    FORMATS,
    KEEPS_COLOR,
    StoreOutput,
    at_least,
    byte_count,
    level_list,
    output_name,
    path,
    percent,
    picture_format,
    scales,
    share,
    weight_list,
)

STYLE_HELP = (
    "a picture, or several to mix; a .look file; or the name of a look that ships, see fastnst styles; none for a model that "
    "translates pictures by itself"
)
MANY_HELP = "a style; may be repeated; all names without an option are contents then"
SCALE_HELP = (
    "see the styles S times as large, 0.25 to 4; auto gives them the short side of the content, so that strokes keep in "
    "proportion to it; several are mixed by their shares: 0.5:0.5,2:0.5"
)


def add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    contents = "a picture, a video, or a folder of them (with the folders in it); - is a picture or a y4m on standard input"
    add("content", type=path, metavar="CONTENT", help=contents)
    style = add("style", type=path, nargs="+", default=[], metavar="STYLE", help=STYLE_HELP)
    style.required = False  # nargs="*" would take none where an option follows CONTENT, and refuse the STYLE after that
    add("--style", dest="styles", type=path, action="append", default=[], metavar="STYLE", help=MANY_HELP)
    outputs = "output file; a folder where there are several results or the name ends with /; - is standard output"
    add("-o", "--output", action=StoreOutput, metavar="OUT", help=outputs)
    parser.set_defaults(output_is_folder=False)
    add("--each", action="store_true", help="take every style alone, and every picture of a STYLE that is a folder")
    sample = "as --each, but only N of the styles for each content, chosen at random by --seed"
    add("--sample", type=at_least(1), metavar="N", help=sample)
    add("--seed", type=at_least(0), default=0, metavar="N", help="of --sample: the same number chooses the same; default: 0")
    names = "of outputs in a folder, such as {content}-{style}.{ext}, which is the default with --each"
    add("--name", type=output_name, metavar="TEMPLATE", help=names)
    add(
        "--sheet",
        type=path,
        metavar="FILE",
        help="write one more picture of all results: styles across, contents down",
    )
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; default: the shipped default")
    add("--alpha", type=share, default=1.0, metavar="A", help="0 = content, 1 = full style (default)")
    add("--weights", type=weight_list, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    add("--levels", type=level_list, metavar="L,L...", help="levels of a WCT model, such as 5,4,3,2,1; default: all it has")
    colors = parser.add_mutually_exclusive_group()
    colors.add_argument(
        KEEPS_COLOR,
        dest="colors",
        choices=COLORS,
        nargs="?",
        const=COLORS[0],
        default="palette",
        metavar="MODE",
        help="keep the content's colours: luma (default) or lab take the lightness alone from the result, match gives it the "
        "content's mean and covariance of colours, histogram the content's histograms",
    )
    palette = (
        "how far colours are moved to the style's: 0 = as the network makes them, 1 = all the way (default); times --alpha"
    )
    colors.add_argument("--palette", type=share, metavar="P", help=palette)
    add("--size", type=at_least(0), default=0, metavar="N", help="short side of the content in pixels; 0 = as it is (default)")
    add(
        "--style-size",
        type=at_least(0),
        metavar="N",
        help="short side of the styles in pixels; 0 = as they are; default: larger styles are shrunk to 512",
    )
    formats = f"of pictures whose output's suffix does not say it: {', '.join(FORMATS)}; in folders, of all of them"
    add("--format", type=picture_format, metavar="NAME", help=formats)
    fidelity = parser.add_mutually_exclusive_group()
    quality = "of JPEG, WebP and AVIF, 1 to 100; default: 95, of AVIF 90"
    fidelity.add_argument("--quality", type=percent, metavar="N", help=quality)
    lossless = "write WebP so that it gives back the very pixels, as PNG and TIFF always do"
    fidelity.add_argument("--lossless", action="store_true", help=lossless)
    strips = "leave EXIF, XMP, IPTC and resolution of the content out of the output; they are kept otherwise"
    add("--strip-metadata", action="store_true", help=strips)
    add("--style-scale", type=scales, metavar="S", help=SCALE_HELP)
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add(
        "--max-memory",
        type=byte_count,
        metavar="BYTES",
        help="working memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes "
        "for each pixel, at least 64M, at most a quarter of the machine's",
    )
    add(
        "--smooth",
        type=share,
        metavar="S",
        help="of a video: how slowly the content's statistics follow the frames, 0 = at once, 1 = only at cuts; default: "
        "0.5 for AdaIN models",
    )
    qualities = "of a video: the encoder's number, 0 = best; default: 18 for H.264, 24 for WebM's VP9"
    add("--video-quality", type=at_least(0), metavar="N", help=qualities)
    camera = "show what camera N sees instead; every picture given is a style (default: camera 0)"
    add("--camera", type=at_least(0), nargs="?", const=0, metavar="N", help=camera)
    add("--dry-run", action="store_true", help="print what would be done: outputs, sizes, tiles and memory; write nothing")
    add("--overwrite", action="store_true", help="replace existing outputs; without it a folder run does what is missing")
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--json",
        action="store_true",
        help="one JSON line per picture or video: size, seconds, bytes of memory, what was left out, or its error",
    )
