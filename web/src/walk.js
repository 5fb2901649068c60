/** Plays the walk between the noise of two seeds. */
import { FRAMES } from "./request.js";

const USUAL_PACE = { step: 1, milliseconds: 60 }; // the pace of cgan-run's animations
const REDUCED_PACE = { step: 8, milliseconds: 1000 }; // a few still images

export class Walk {
  #isPlaying = false;
  #runs = 0; // a run ends when the next one begins, or when it is paused
  #showFrame;
  #showPlaying;

  /**
   * @param {(frame: number) => Promise<void>} showFrame - shows a frame, 0 to FRAMES - 1
   * @param {(isPlaying: boolean) => void} showPlaying - is told when playing begins and ends
   */
  constructor(showFrame, showPlaying) {
    this.#showFrame = showFrame;
    this.#showPlaying = showPlaying;
  }

  get isPlaying() {
    return this.#isPlaying;
  }

  /** Play from a frame, forth and back, until pause() is called. */
  async play(frame) {
    const run = ++this.#runs;
    let direction = 1;
    this.#setPlaying(true);
    while (run === this.#runs) {
      if (frame >= FRAMES - 1) direction = -1;
      if (frame <= 0) direction = 1;
      const { step, milliseconds } = pace();
      const start = performance.now();
      frame = Math.min(FRAMES - 1, Math.max(0, frame + direction * step));
      await this.#showFrame(frame);
      const rest = milliseconds - (performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, rest));
      await new Promise(requestAnimationFrame); // none comes while the page is hidden
    }
  }

  pause() {
    this.#runs++;
    this.#setPlaying(false);
  }

  #setPlaying(isPlaying) {
    if (this.#isPlaying === isPlaying) return;
    this.#isPlaying = isPlaying;
    this.#showPlaying(isPlaying);
  }
}

function pace() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? REDUCED_PACE : USUAL_PACE;
}
