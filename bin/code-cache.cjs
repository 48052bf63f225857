// Node's own cache of compiled code is made before a script runs, so it lacks every function that is
// compiled when it is called first: two thousand at a start of the CLI, a third of its time. This one is
// made at the end of a run.
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname } = require('node:path');
const { constants, Script } = require('node:vm');

/**
 * Runs a CommonJS file with the code that `writeCodeCache` has kept of it; without, where there is none
 * or it is of another Node.
 * @param {string} file
 */
function runCached(file) {
  run(file, compile(file, read(cacheOf(file))));
}

/**
 * Runs a CommonJS file and keeps the code of all that it has called until the process ends.
 * @param {string} file
 */
function writeCodeCache(file) {
  const script = compile(file, undefined);
  process.once('exit', () => {
    // Others that start meanwhile must not read half of it.
    const partial = `${cacheOf(file)}.${process.pid}`;
    writeFileSync(partial, script.createCachedData());
    renameSync(partial, cacheOf(file));
  });
  run(file, script);
}

/**
 * @param {string} file
 * @param {Buffer | undefined} cachedData
 */
function compile(file, cachedData) {
  // The bundler writes ASCII only, which needs no decoding: 8 ms of 5 MB. It also puts the function around
  // it that Node would, since whatever is added to the text makes another copy of it.
  return new Script(readFileSync(file, 'latin1'), {
    filename: file,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
}

/**
 * @param {string} file
 * @param {Script} script
 */
function run(file, script) {
  const own = { exports: {} };
  const call = script.runInThisContext();
  call(own.exports, createRequire(file), own, file, dirname(file));
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/** @param {string} file */
function cacheOf(file) {
  return `${file}.cache`;
}

module.exports = { runCached, writeCodeCache };
