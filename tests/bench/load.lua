-- A crowd for wrk: `count` requests, the n-th by buyer `first` + n, and then no more.
-- Arguments after `--`: method, path, body, first, path_first, count, header... In the body N stands for first + n, in
-- the path M for path_first + n. wrk goes on until its time is over or somebody presses
-- Ctrl-C: so the last answer does that.
local ffi = require("ffi")
ffi.cdef("int kill(int pid, int signal); int getpid(void);")
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  method, path, body = args[1], args[2], args[3]
  first, path_first, count = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  -- wrk asks for one request beforehand, to look at it, and does not send it.
  sent, tickets, answered, statuses = -1, 0, 0, ""
  seen = {}
  headers = {}
  if body ~= "" then headers["Content-Type"] = "application/json" end
  for i = 7, #args do
    local name, value = args[i]:match("^(.-): (.*)$")
    headers[name] = value
  end
  fixed = nil
  if not path:find("M") and not body:find("N") then
    fixed = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
end

function request()
  sent = sent + 1
  if fixed then return fixed end
  local path_now = path:gsub("M", tostring(path_first + sent - 1))
  local body_now = body:gsub("N", tostring(first + sent - 1))
  return wrk.format(method, path_now, headers, body_now)
end

-- In milliseconds, asked before each request: who comes after `count` others stays away.
function delay()
  tickets = tickets + 1
  return tickets > count and 600000 or 0
end

function response(status)
  answered = answered + 1
  seen[status] = (seen[status] or 0) + 1
  if answered >= count then
    local parts = {}
    for code, times in pairs(seen) do parts[#parts + 1] = '"' .. code .. '": ' .. times end
    statuses = table.concat(parts, ", ")
    wrk.thread:stop()
    ffi.C.kill(ffi.C.getpid(), 2)
  end
end

function done(summary, latency)
  local points = {}
  for _, p in ipairs({1, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 98, 99, 99.5, 99.9, 100}) do
    points[#points + 1] = '"' .. p .. '": ' .. (latency:percentile(p) / 1000)
  end
  io.write('RESULT {"duration_us": ' .. summary.duration .. ', "requests": ' .. summary.requests
    .. ', "connect_errors": ' .. summary.errors.connect .. ', "read_errors": ' .. summary.errors.read
    .. ', "write_errors": ' .. summary.errors.write .. ', "timeouts": ' .. summary.errors.timeout
    .. ', "mean_ms": ' .. latency.mean / 1000
    .. ', "statuses": {' .. threads[1]:get("statuses") .. '}, "latency_ms": {' .. table.concat(points, ", ") .. '}}\n')
end
