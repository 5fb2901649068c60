/** The onnxruntime-web builds that build.mjs copies and session.mjs chooses from. */
export const BUILDS = {
  wasm: { module: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded" },
  jspi: { module: "ort.jspi.min.mjs", binary: "ort-wasm-simd-threaded.jspi" },
  asyncify: { module: "ort.webgpu.min.mjs", binary: "ort-wasm-simd-threaded.asyncify" },
};

/** Return the file names of a build. */
export function filesOf({ module, binary }) {
  return [module, `${binary}.mjs`, `${binary}.wasm`];
}
