/** The onnxruntime-web builds that build.mjs copies and session.js chooses from. */
export const BUILDS = {
  wasm: { module: "ort.wasm.min.js", binary: "ort-wasm-simd-threaded" },
  jspi: { module: "ort.jspi.min.js", binary: "ort-wasm-simd-threaded.jspi" },
  asyncify: { module: "ort.webgpu.min.js", binary: "ort-wasm-simd-threaded.asyncify" },
};

/** Return the file names of a build, which end in .js because hosts do not know .mjs. */
export function filesOf({ module, binary }) {
  return [module, `${binary}.js`, `${binary}.wasm`];
}
