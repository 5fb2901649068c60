/** The builds of onnxruntime-web that build.mjs copies, and of which session.mjs loads one. */
export const BUILDS = {
  wasm: { module: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded" },
  jspi: { module: "ort.jspi.min.mjs", binary: "ort-wasm-simd-threaded.jspi" },
  asyncify: { module: "ort.webgpu.min.mjs", binary: "ort-wasm-simd-threaded.asyncify" },
};

/** Return the names of a build's files. */
export function filesOf({ module, binary }) {
  return [module, `${binary}.mjs`, `${binary}.wasm`];
}
