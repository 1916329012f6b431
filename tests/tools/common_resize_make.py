"""Writes common_resize_expected.h: what Pillow makes of small pictures.

python3 -m venv VENV && VENV/bin/pip install pillow==11.3.0
VENV/bin/python common_resize_make.py > common_resize_expected.h

Pillow 13 at times takes columns before rows, and rounds to 8 bits in
between: there some of these values differ by 1.
"""

from PIL import Image
import PIL

# height, width, channels; new height, new width
CASES = (
    (8, 8, 1, 4, 4),
    (9, 7, 1, 4, 3),
    (5, 3, 3, 2, 2),
    (1, 1, 3, 2, 3),
    (1, 10, 1, 1, 3),
    (10, 1, 1, 3, 1),
    (7, 7, 1, 1, 1),
    (6, 6, 1, 7, 9),
    (4, 5, 3, 6, 2),
    (5, 4, 3, 2, 6),
    (3, 40, 1, 3, 7),
    (16, 16, 1, 5, 5),
    (64, 48, 3, 4, 3),
    (6, 5, 1, 6, 5),
)


def pixel(y, x, c):
    """As in common_resize_test.cc: neighbours differ much."""
    return (7 * x * x + 13 * y * y + 5 * x * y + 31 * (x ^ y) + 67 * c) % 256


def main():
    print(f"// Written by common_resize_make.py with Pillow {PIL.__version__}.")
    print("struct Case {\n  int64_t height, width, channels, new_height, "
          "new_width;\n  std::vector<uint8_t> expected;\n};\n"
          "const Case kCases[] = {")
    for height, width, channels, new_height, new_width in CASES:
        data = bytes(pixel(y, x, c) for y in range(height)
                     for x in range(width) for c in range(channels))
        picture = Image.frombytes("L" if channels == 1 else "RGB",
                                  (width, height), data)
        resized = picture.resize((new_width, new_height), Image.BILINEAR)
        values = ", ".join(map(str, resized.tobytes()))
        print(f"    {{{height}, {width}, {channels}, {new_height}, {new_width}, "
              f"{{{values}}}}},")
    print("};")


if __name__ == "__main__":
    main()
