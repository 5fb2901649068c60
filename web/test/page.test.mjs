/** Test the page in a real Chromium: one process and one build for all subjects, in this order. */
import "./page/controls.mjs";
import "./page/models.mjs";
import "./page/hosts.mjs";
