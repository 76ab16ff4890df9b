/** Preloaded, it writes the URL of every module to the file that USER_LLM_TEST_IMPORTS names. */
import { register } from "node:module";

const hooks = `
  import { appendFileSync } from "node:fs";
  export async function load(url, context, next) {
    appendFileSync(process.env.USER_LLM_TEST_IMPORTS, url + "\\n");
    return next(url, context);
  }`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
