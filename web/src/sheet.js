/**
 * The sheet of images, on a canvas. A pixel is black with the pixel value as its opacity, so that
 * the sheet suits light and dark pages.
 */

export class Sheet {
  #canvas;
  #context;
  #cell = { columns: 1, height: 1, width: 1 };

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.pixels = new Uint8Array(); // [height * width], 0 (background) to 255 (foreground)
  }

  /** The width of the sheet in pixels. */
  get width() {
    return this.#canvas.width;
  }

  /** Lay out a grid of images. If its size is unchanged, the old images stay until replaced. */
  layOut(count, columns, height, width) {
    const rows = Math.ceil(count / columns);
    this.#cell = { columns, height, width };
    if (this.#canvas.width !== columns * width || this.#canvas.height !== rows * height) {
      this.#canvas.width = columns * width;
      this.#canvas.height = rows * height;
    } else {
      const used = count - (rows - 1) * columns; // cells of the last row; clear the others
      const [x, y] = [used * width, (rows - 1) * height];
      this.#context.clearRect(x, y, this.#canvas.width - x, height);
    }
    this.pixels = new Uint8Array(columns * width * rows * height);
    this.#canvas.style.setProperty("--columns", columns);
    this.#canvas.style.setProperty("--rows", rows);
  }

  /** Put images into consecutive cells, starting at cell number first. */
  put(first, images) {
    const { columns, height, width } = this.#cell;
    const size = height * width;
    for (let i = 0; i * size < images.length; i++) {
      const left = ((first + i) % columns) * width;
      const top = Math.floor((first + i) / columns) * height;
      const cell = this.#context.createImageData(width, height);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const value = images[i * size + y * width + x];
          this.pixels[(top + y) * columns * width + left + x] = value;
          cell.data[(y * width + x) * 4 + 3] = value; // the opacity
        }
      }
      this.#context.putImageData(cell, left, top);
    }
  }
}
