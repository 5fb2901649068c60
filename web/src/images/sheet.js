/**
 * The sheet of images, on a canvas. A gray pixel is black with the pixel value as its opacity, so
 * that the sheet suits light and dark pages. A color pixel keeps its color.
 */

const OPACITY = 3; // position of the opacity among the four values of a canvas pixel

export class Sheet {
  #canvas;
  #context;
  #columns = 1;
  #shape = { channels: 1, height: 1, width: 1 }; // shape of one image

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.pixels = new Uint8Array(); // [height * width * channels], 0 to 255
  }

  /** The width of the sheet in pixels. */
  get width() {
    return this.#canvas.width;
  }

  /** The number of channels of a pixel. */
  get channels() {
    return this.#shape.channels;
  }

  /** Lay out a sheet. If its size is unchanged, the old images stay until put() replaces them. */
  layOut(count, columns, { channels, height, width }) {
    const rows = Math.ceil(count / columns);
    this.#columns = columns;
    this.#shape = { channels, height, width };
    if (this.#canvas.width !== columns * width || this.#canvas.height !== rows * height) {
      this.#canvas.width = columns * width;
      this.#canvas.height = rows * height;
    } else {
      const used = count - (rows - 1) * columns; // cells in the last row; clear the rest of the row
      const [x, y] = [used * width, (rows - 1) * height];
      this.#context.clearRect(x, y, this.#canvas.width - x, height);
    }
    this.pixels = new Uint8Array(columns * width * rows * height * channels);
    this.#canvas.classList.toggle("color", channels > 1);
    this.#canvas.style.setProperty("--aspect", width / height);
    this.#canvas.style.setProperty("--columns", columns);
    this.#canvas.style.setProperty("--rows", rows);
  }

  /**
   * Put images into consecutive cells, starting at cell number first.
   *
   * @param {number} first
   * @param {Uint8Array} images - [n * channels * height * width]
   */
  put(first, images) {
    const columns = this.#columns;
    const { channels, height, width } = this.#shape;
    const [plane, isColor] = [height * width, channels > 1];
    for (let i = 0; i * channels * plane < images.length; i++) {
      const left = ((first + i) % columns) * width;
      const top = Math.floor((first + i) / columns) * height;
      const cell = this.#context.createImageData(width, height);
      for (let at = 0; at < plane; at++) {
        const [y, x] = [Math.floor(at / width), at % width];
        const to = ((top + y) * columns * width + left + x) * channels;
        if (isColor) cell.data[at * 4 + OPACITY] = 255;
        for (let channel = 0; channel < channels; channel++) {
          const value = images[(i * channels + channel) * plane + at];
          this.pixels[to + channel] = value;
          cell.data[at * 4 + (isColor ? channel : OPACITY)] = value;
        }
      }
      this.#context.putImageData(cell, left, top);
    }
  }
}
