/** The sheet on the page: a canvas whose opacity is the ink, so that it suits dark and light. */

export class Sheet {
  #canvas;
  #context;
  #page = new Uint8Array(); // [height * width], 0 background .. 255 ink

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
  }

  /** Return the page's pixels and its width. */
  get page() {
    return { pixels: this.#page, width: this.#canvas.width };
  }

  /** Lay out so many images of this size, in so many columns; what is there stays where it fits. */
  layOut(count, columns, height, width) {
    const rows = Math.ceil(count / columns);
    this.cell = { columns, height, width };
    if (this.#canvas.width !== columns * width || this.#canvas.height !== rows * height) {
      this.#canvas.width = columns * width;
      this.#canvas.height = rows * height;
    } else {
      const used = count - (rows - 1) * columns; // cells of the last row; others are background
      const [x, y] = [used * width, (rows - 1) * height];
      this.#context.clearRect(x, y, this.#canvas.width - x, height);
    }
    this.#page = new Uint8Array(columns * width * rows * height);
    this.#canvas.style.setProperty("--columns", columns);
    this.#canvas.style.setProperty("--rows", rows);
  }

  /** Put images in their cells, from cell number first on. */
  put(first, images) {
    const { columns, height, width } = this.cell;
    const size = height * width;
    for (let each = 0; each * size < images.length; each++) {
      const left = ((first + each) % columns) * width;
      const top = Math.floor((first + each) / columns) * height;
      const cell = this.#context.createImageData(width, height);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const ink = images[each * size + y * width + x];
          this.#page[(top + y) * columns * width + left + x] = ink;
          cell.data[(y * width + x) * 4 + 3] = ink; // black, as opaque as there is ink
        }
      }
      this.#context.putImageData(cell, left, top);
    }
  }
}
