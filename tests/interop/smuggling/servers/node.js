// Node's own http server.
'use strict';
const fs = require('fs');
const http = require('http');
const log = fs.openSync(process.env.ORIGIN_LOG, 'a');
const note = (port, method, target) => fs.writeSync(log, JSON.stringify([port || 0, method, target]) + '\n');

const server = http.createServer((request, response) => {
  note(request.socket.remotePort, request.method, request.url);
  request.on('error', () => {});
  const answer = () => {
    response.setHeader('X-Seen', request.url);
    response.end(request.url);
  };
  if (request.url.endsWith('?early')) answer();
  else request.on('end', answer);
  request.resume();
});
server.keepAliveTimeout = 75000;
server.on('upgrade', (request, socket) => {
  note(socket.remotePort, request.method, request.url);
  socket.end(`HTTP/1.1 400 Bad Request\r\nX-Seen: ${request.url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
});
server.on('clientError', (error, socket) => {
  // A connection that its client cut is no request.
  if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE') note(socket.remotePort, 'BAD', error.code);
  socket.destroy();
});
server.listen(Number(process.env.ORIGIN_PORT), '127.0.0.1');
