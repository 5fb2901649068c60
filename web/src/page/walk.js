/** The player of the walk between the noise of two seeds. */
import { FRAMES } from "./request.js";

const DEFAULT_PACE = { step: 1, milliseconds: 60 }; // the pace of the animations of cgan-run
const REDUCED_PACE = { step: 8, milliseconds: 1000 }; // shows a few frames as still images

export class Walk {
  #isPlaying = false;
  #calls = 0; // number of play() and pause() calls; a loop ends when the number changes
  #showFrame;
  #showPlaying;

  /**
   * @param {(frame: number) => Promise<void>} showFrame - shows a frame, 0 to FRAMES - 1
   * @param {(isPlaying: boolean) => void} showPlaying - called when playing begins and ends
   */
  constructor(showFrame, showPlaying) {
    this.#showFrame = showFrame;
    this.#showPlaying = showPlaying;
  }

  get isPlaying() {
    return this.#isPlaying;
  }

  /** Play from a frame, back and forth, until pause() is called. */
  async play(frame) {
    const call = ++this.#calls;
    let direction = 1;
    this.#setPlaying(true);
    while (call === this.#calls) {
      if (frame >= FRAMES - 1) direction = -1;
      if (frame <= 0) direction = 1;
      const { step, milliseconds } = pace();
      const start = performance.now();
      frame = Math.min(FRAMES - 1, Math.max(0, frame + direction * step));
      await this.#showFrame(frame);
      const rest = milliseconds - (performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, rest));
      await new Promise(requestAnimationFrame); // waits while the page is hidden
    }
  }

  pause() {
    this.#calls++;
    this.#setPlaying(false);
  }

  #setPlaying(isPlaying) {
    if (this.#isPlaying === isPlaying) return;
    this.#isPlaying = isPlaying;
    this.#showPlaying(isPlaying);
  }
}

function pace() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? REDUCED_PACE : DEFAULT_PACE;
}
