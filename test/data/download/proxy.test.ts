import test from "ava";
import { proxyFor } from "../../../src/data/download/proxy.js";

for (const [url, env, expected] of [
  ["https://a.test/x", {}, undefined],
  ["https://a.test/x", { HTTPS_PROXY: "http://p:3128" }, "http://p:3128/"],
  ["https://a.test/x", { HTTP_PROXY: "http://p:3128" }, undefined],
  ["http://a.test/x", { HTTP_PROXY: "p:3128" }, "http://p:3128/"],
  ["http://a.test/x", { HTTP_PROXY: "http://upper", http_proxy: "http://lower" }, "http://lower/"],
  ["http://a.test/x", { HTTP_PROXY: "http://upper", http_proxy: "" }, "http://upper/"],
  ["http://a.test/x", { HTTP_PROXY: "http://p", NO_PROXY: "*" }, undefined],
  ["http://a.test/x", { HTTP_PROXY: "http://p", NO_PROXY: "b.test, a.test" }, undefined],
  ["http://sub.a.test/x", { HTTP_PROXY: "http://p", NO_PROXY: "a.test" }, undefined],
  ["http://sub.a.test/x", { HTTP_PROXY: "http://p", no_proxy: ".a.test" }, undefined],
  ["http://sub.a.test/x", { HTTP_PROXY: "http://p", no_proxy: "*.a.test" }, undefined],
  ["http://aa.test/x", { HTTP_PROXY: "http://p", NO_PROXY: "a.test" }, "http://p/"],
  ["http://a.test:81/x", { HTTP_PROXY: "http://p", NO_PROXY: "a.test:80" }, "http://p/"],
  ["http://a.test/x", { HTTP_PROXY: "http://p", NO_PROXY: "A.test:80" }, undefined],
  ["http://[::1]:81/x", { HTTP_PROXY: "http://p", NO_PROXY: "localhost,[::1]" }, undefined],
  ["http://a.test/x", { HTTP_PROXY: "http://p", NO_PROXY: "" }, "http://p/"],
] as const) {
  test(`${url} with ${JSON.stringify(env)} goes through ${expected}`, (t) => {
    t.is(proxyFor(new URL(url), env)?.href, expected);
  });
}
