export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for a URL: `HTTPS_PROXY` or `HTTP_PROXY`, unless its host is in `NO_PROXY`. Names in
 * small letters go first, as with curl.
 */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  const variable = (name: string) => env[name.toLowerCase()] || env[name] || "";
  const proxy = variable(url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (proxy === "" || isExempt(url, variable("NO_PROXY"))) return undefined;
  return new URL(proxy.includes("://") ? proxy : `http://${proxy}`);
}

/** `example.org` stands for its subdomains too, `*` for every host; a port may follow. */
function isExempt(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === "*") return true;
    const [, name = "", onlyPort = port] =
      /^\[?(.*?)\]?(?::(\d+))?$/.exec(entry.toLowerCase().replace(/^\*?\./, "")) ?? [];
    return name !== "" && onlyPort === port && (host === name || host.endsWith(`.${name}`));
  });
}
