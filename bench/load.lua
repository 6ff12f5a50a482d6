-- One small request, made anew each time: what a client that does something per request costs.
function request()
  return wrk.format()
end
