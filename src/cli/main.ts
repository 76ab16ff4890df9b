#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addBuildCommand } from "./build.js";

interface Manifest {
  version: string;
  description: string;
}
const manifestFile = new URL("../../package.json", import.meta.url);
const { version, description } = JSON.parse(readFileSync(manifestFile, "utf8")) as Manifest;

// Exit code 2 is a usage error; commander's own choice would be 1.
const program = new Command("user-llm")
  .description(description)
  .version(version)
  .exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : 2));
addBuildCommand(program);
await program.parseAsync();
