// Calls of grpc-js through the balancer: `client.js ADDRESS CERTIFICATE NAME METHOD...` prints the code and details of each.
const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const [address, pem, name, ...methods] = process.argv.slice(2);
const client = new grpc.Client(address, grpc.credentials.createSsl(fs.readFileSync(pem)), {
  'grpc.ssl_target_name_override': name,
  'grpc.default_authority': name,
  'grpc.enable_retries': 0,
});
const bytes = (value) => value;

function call(method) {
  return new Promise((resolve) => {
    const deadline = new Date(Date.now() + 20000);
    client.makeUnaryRequest(method, bytes, bytes, Buffer.from('hello'), new grpc.Metadata(), { deadline }, (error, answer) => {
      resolve({ method, code: error ? error.code : 0, details: error ? error.details : answer.toString() });
    });
  });
}

(async () => {
  const said = [];
  for (const method of methods) said.push(await call(method));
  console.log(JSON.stringify(said));
  client.close();
})();
