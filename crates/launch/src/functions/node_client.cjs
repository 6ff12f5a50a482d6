// Runs a handler for Node: asks Lambda's Runtime API for invocations, one after another, and answers them.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const util = require('util');
const { pathToFileURL } = require('url');

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const BASE = '/2018-06-01/runtime';
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let requestId;

function call(method, where, headers, body) {
  return new Promise((resolve, reject) => {
    const options = { host, port, method, path: BASE + where, headers: headers || {}, agent };
    if (body !== undefined) options.headers['Content-Length'] = Buffer.byteLength(body);
    const request = http.request(options, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

class NamedError extends Error {
  constructor(name, message, cause) {
    super(message);
    this.name = name;
    if (cause && cause.stack) this.stack = cause.stack;
  }
}

// As Lambda's own client tells errors.
function describe(error) {
  if (util.types.isNativeError(error) || (error && error.name && error.message !== undefined && error.stack)) {
    return { errorType: String(error.name), errorMessage: String(error.message), trace: String(error.stack).split('\n') };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

function fail(where, error) {
  const told = describe(error);
  const headers = { 'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': encodeURI(told.errorType) };
  return call('POST', where, headers, JSON.stringify(told));
}

function patchConsole() {
  const say = (level) => (...parts) => {
    const text = util.format(...parts).replace(/\n/g, '\r');
    process.stdout.write(`${new Date().toISOString()}\t${requestId}\t${level}\t${text}\n`);
  };
  console.log = say('INFO');
  console.info = say('INFO');
  console.warn = say('WARN');
  console.error = say('ERROR');
  console.debug = say('DEBUG');
  console.trace = say('TRACE');
}

async function loadModule(root, name) {
  const base = path.resolve(root, name);
  const found = ['', '.js', '.mjs', '.cjs'].map((end) => base + end).find((file) => fs.existsSync(file) && fs.statSync(file).isFile());
  if (!found) {
    throw new NamedError('Runtime.ImportModuleError', `Error: Cannot find module '${name}'`);
  }
  try {
    if (found.endsWith('.mjs')) return await import(pathToFileURL(found).href);
    try {
      return require(found);
    } catch (error) {
      if (error.code !== 'ERR_REQUIRE_ESM' && error.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
      return await import(pathToFileURL(found).href);
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw new NamedError('Runtime.UserCodeSyntaxError', String(error), error);
    if (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND') {
      throw new NamedError('Runtime.ImportModuleError', String(error), error);
    }
    throw error;
  }
}

async function loadHandler(root, text) {
  const folder = path.dirname(text);
  const match = /^([^.]*)\.(.*)$/.exec(path.basename(text));
  if (!match || text.includes('..')) throw new NamedError('Runtime.MalformedHandlerName', 'Bad handler');
  const module = await loadModule(root, path.join(folder, match[1]));
  const find = (from) => match[2].split('.').reduce((value, name) => (value == null ? undefined : value[name]), from);
  const handler = find(module) || find(module.default);
  if (!handler) throw new NamedError('Runtime.HandlerNotFound', `${text} is undefined or not exported`);
  if (typeof handler !== 'function') throw new NamedError('Runtime.HandlerNotFound', `${text} is not a function`);
  return handler;
}

function json(text) {
  return text ? JSON.parse(text) : undefined;
}

function contextOf(headers, settle) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: json(headers['lambda-runtime-client-context']),
    identity: json(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  context.done = (error, value) => {
    context.callbackWaitsForEmptyEventLoop = false;
    settle(error, value);
  };
  context.succeed = (value) => context.done(null, value);
  context.fail = (error) => context.done(error === undefined ? 'handled' : error);
  return context;
}

// The outcome of one invocation: a promise of what a handler gives back, by whichever of the ways.
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const settle = (error, value) => {
      const end = () => (error === null || error === undefined ? resolve(value) : reject(error));
      process.removeAllListeners('beforeExit');
      // A callback's answer goes out when there is nothing more to do, unless it says otherwise.
      if (context.callbackWaitsForEmptyEventLoop) process.once('beforeExit', end);
      else end();
    };
    const context = contextOf(headers, settle);
    // Nothing is left to do and nobody answered: Lambda answers null.
    process.once('beforeExit', () => resolve(null));
    const value = handler(event, context, settle);
    if (value && typeof value.then === 'function') {
      value.then(resolve, reject);
    }
  });
}

async function serve(handler) {
  for (;;) {
    const next = await call('GET', '/invocation/next');
    if (next.status !== 200) throw new Error(`the Runtime API answered ${next.status}`);
    requestId = next.headers['lambda-runtime-aws-request-id'];
    const trace = next.headers['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    const where = `/invocation/${requestId}`;
    try {
      const event = JSON.parse(next.body.toString('utf8') || 'null');
      const value = await run(handler, event, next.headers);
      const text = JSON.stringify(value === undefined ? null : value);
      await call('POST', `${where}/response`, { 'Content-Type': 'application/json' }, text === undefined ? 'null' : text);
    } catch (error) {
      console.error('Invoke Error', JSON.stringify(describe(error)));
      await fail(`${where}/error`, error);
    } finally {
      process.removeAllListeners('beforeExit');
    }
  }
}

// What nobody catches ends the process, and is told before that.
function die(code, error) {
  console.error(code === 128 ? 'Unhandled Promise Rejection' : 'Uncaught Exception', JSON.stringify(describe(error)));
  const where = requestId ? `/invocation/${requestId}/error` : '/init/error';
  // The one connection may be waiting for something else.
  agent.maxSockets = 2;
  const end = () => process.exit(code);
  fail(where, error).then(end, end);
}

process.on('uncaughtException', (error) => die(129, error));
process.on('unhandledRejection', (reason) =>
  die(128, new NamedError('Runtime.UnhandledPromiseRejection', String(util.types.isNativeError(reason) ? reason : util.inspect(reason)), reason)));

async function main() {
  patchConsole();
  let handler;
  try {
    handler = await loadHandler(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
  } catch (error) {
    console.error(describe(error).errorType, JSON.stringify(describe(error)));
    await fail('/init/error', error);
    process.exit(1);
  }
  await serve(handler);
}

main().catch((error) => die(1, error));
