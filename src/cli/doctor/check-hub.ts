import { describeFailure } from "../failure.js";
import type { Check } from "./check.js";

/** Where models from the Hugging Face hub go, and how it is reached; of the token only whether there is one. */
export async function checkHub(): Promise<Check> {
  try {
    const { hubSettings } = await import("../../hub/settings.js");
    const { cache, endpoint, token, offline } = await hubSettings();
    const use = offline ? "offline" : endpoint.origin;
    const access = token === undefined ? "no token" : "a token is set";
    return {
      name: "hub",
      status: "ok",
      found: `${use}, ${access}; models are cached in ${cache}`,
      details: { cache, endpoint: endpoint.origin, offline, token: token !== undefined },
    };
  } catch (error) {
    return {
      name: "hub",
      status: "fail",
      found: describeFailure(error).message,
      remedy: "correct HF_ENDPOINT or HF_TOKEN",
    };
  }
}
