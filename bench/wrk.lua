-- Sends one prepared request, counts what comes back, and prints the counts as one JSON line at the end.
-- BENCH_METHOD, BENCH_BODY and BENCH_HEADERS (one "name: value" per line) describe the request. With BENCH_READ every
-- answer is read: refusals are counted by code, and one that does not end with BENCH_ENDING is incomplete.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  -- wrk asks for the request once before it sends any.
  sent = -1
  answered = 0
  refused = {}
  refusals = ""
  incomplete = 0
  ending = os.getenv("BENCH_ENDING")
  wrk.method = os.getenv("BENCH_METHOD") or "GET"
  wrk.body = os.getenv("BENCH_BODY")
  for name, value in (os.getenv("BENCH_HEADERS") or ""):gmatch("([^\n:]+):%s*([^\n]*)") do
    wrk.headers[name] = value
  end
  prepared = wrk.format()
end

function request()
  sent = sent + 1
  return prepared
end

-- Reading every answer here costs as much as a fast server spends on it: done only where the counts need it.
if os.getenv("BENCH_READ") then
  function response(status, headers, body)
    if status >= 200 and status < 300 then
      if ending and body:sub(-#ending) ~= ending then
        incomplete = incomplete + 1
      else
        answered = answered + 1
      end
    else
      local code = tostring(status)
      refused[code] = (refused[code] or 0) + 1
      -- Only strings and numbers can be read from outside this thread.
      local parts = {}
      for name, count in pairs(refused) do
        table.insert(parts, '"' .. name .. '":' .. count)
      end
      refusals = table.concat(parts, ",")
    end
  end
end

function done(summary, latency, requests)
  local all = { sent = 0, answered = 0, incomplete = 0 }
  local codes = {}
  for _, thread in ipairs(threads) do
    for name in pairs(all) do
      all[name] = all[name] + thread:get(name)
    end
    table.insert(codes, "{" .. thread:get("refusals") .. "}")
  end
  local errors = summary.errors
  if not os.getenv("BENCH_READ") then
    all.answered = summary.requests - errors.status
    codes = { errors.status > 0 and '{"unread":' .. errors.status .. "}" or "{}" }
  end
  io.write(string.format(
    '\nRESULT {"sent":%d,"answered":%d,"refused":[%s],"duration_us":%d,'
      .. '"failed":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"incomplete":%d},'
      .. '"latency_us":{"p50":%d,"p99":%d,"p999":%d}}\n',
    all.sent, all.answered, table.concat(codes, ","), summary.duration,
    errors.connect, errors.read, errors.write, errors.timeout, all.incomplete,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
