/** Offline after the first visit: the page's files, its model, and the runtime that it used. */

/**
 * Register the service worker and have it keep what this visit fetched.
 *
 * @returns {Promise<boolean>} whether the page now works offline
 */
export async function keepOffline() {
  if (!navigator.serviceWorker) return false; // plain http, or a private window
  try {
    await navigator.serviceWorker.register("service-worker.js");
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => {
        navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      });
    }
    // The first visit began without it. What it sees of the runtime it keeps; the bytes come from
    // the browser's own cache.
    const fetched = performance.getEntriesByType("resource").map((each) => each.name);
    for (const url of new Set(fetched.filter((each) => each.includes("/vendor/")))) {
      const response = await fetch(url);
      if (!response.ok) return false;
      await response.blob();
    }
    return true;
  } catch {
    return false; // full, or forbidden: the page works on, online
  }
}
