import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../errors.js";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubOptions {
  /** The cache's folder. Default: that of all Hugging Face libraries, see {@link hubCache}. */
  cache?: string | undefined;
  /** Where the hub is. Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string | undefined;
  /** Lets in to private and gated models; empty for none. Default: `HF_TOKEN`, else what `hf auth login` has stored. */
  token?: string | undefined;
  /** Use the cache alone. Default: whether `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` or `USER_LLM_OFFLINE` is set. */
  offline?: boolean | undefined;
  /** Where all variables are looked up. Default: the process's. */
  env?: Environment | undefined;
}

/** How the hub is reached. */
export interface HubSettings {
  readonly cache: string;
  readonly endpoint: URL;
  /** Never to be shown. */
  readonly token: string | undefined;
  readonly offline: boolean;
}

/** @throws UsageError when the endpoint is no address, or the token cannot be one */
export async function hubSettings(options: HubOptions = {}): Promise<HubSettings> {
  const { env = process.env } = options;
  return {
    cache: options.cache ?? hubCache(env),
    endpoint: parseEndpoint(options.endpoint ?? (env.HF_ENDPOINT || "https://huggingface.co")),
    token: checkToken(options.token ?? (await storedToken(env))),
    offline: options.offline ?? isOffline(env),
  };
}

/**
 * Where downloaded models are: `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else `hub` in `HF_HOME`, else
 * `huggingface/hub` in `XDG_CACHE_HOME`, else in `~/.cache`.
 */
export function hubCache(env: Environment = process.env): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return named ? expanded(named) : join(hubHome(env), "hub");
}

function hubHome(env: Environment): string {
  return expanded(env.HF_HOME || join(env.XDG_CACHE_HOME || "~/.cache", "huggingface"));
}

const expanded = (path: string): string => path.replace(/^~(?=$|[/\\])/, homedir());

const yes = ["1", "ON", "YES", "TRUE"];

function isOffline(env: Environment): boolean {
  const isSet = (value = ""): boolean => yes.includes(value.toUpperCase());
  const own = env.USER_LLM_OFFLINE ?? "";
  return (
    isSet(env.HF_HUB_OFFLINE) ||
    isSet(env.TRANSFORMERS_OFFLINE) ||
    !["", "0", "false"].includes(own)
  );
}

function parseEndpoint(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol))
    throw new UsageError(`the hub's endpoint is an http or https URL, got "${address}"`);
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

async function storedToken(env: Environment): Promise<string> {
  const named = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  if (named) return named;
  const path = env.HF_TOKEN_PATH ? expanded(env.HF_TOKEN_PATH) : join(hubHome(env), "token");
  return await readFile(path, "utf8").catch(() => "");
}

/** One line of visible characters: anything else would end up in other headers. */
function checkToken(given: string): string | undefined {
  const token = given.trim();
  if (token === "") return undefined;
  if (/^[\x21-\x7e]{1,1000}$/.test(token)) return token;
  throw new UsageError("the hub's token has characters that no token has; see HF_TOKEN");
}
