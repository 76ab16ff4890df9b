#!/usr/bin/env node
/**
 * Stands where prebuildify expects node-gyp: `node-gyp-shim.mjs rebuild --target=... --release`.
 * Node-API makes the target irrelevant; of the arguments only `--debug` means anything here.
 */
import { buildNative } from "./build-native.mjs";

buildNative({ debug: process.argv.includes("--debug"), strict: true, ifStale: true });
