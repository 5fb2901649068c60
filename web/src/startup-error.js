// Show why the page did not start. This is a classic script, because loading modules may fail.
addEventListener("load", function () {
  if ("started" in document.documentElement.dataset) return;
  var reason =
    "a part of the page did not load, or this browser is too old; check the connection and that " +
    "the host sends .js files as text/javascript, then reload the page, or use a newer browser";
  if (location.protocol === "file:") {
    reason =
      "a browser does not run the page from a file; run 'make web', or put it on a web server";
  } else if (!("noModule" in document.createElement("script"))) {
    reason = "this browser is too old for the page; use a newer browser";
  }
  document.getElementById("latency").textContent = "no images yet";
  document.getElementById("error").textContent = reason;
});
