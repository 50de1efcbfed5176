-- The prelude of the scripts on hosts.
--
-- The state of a host is JSON in the hash `hosts`, under its name:
--   started_ms, answered_ms   start of the last request and of its response
--   not_before_ms             earliest next request, if the site asked for a delay
--   leases                    requests in flight: lease id -> when the lease expires
--   backoff                   {since_ms, until_ms, reason, by, probe}; probe is the lease id of the probing request
-- Times are rounded up, so that intervals are never too short.

local MAX_IDLE_MS = 86400000

local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + now[2] / 1000
end

-- Returns a host without its expired leases, and whether it was stored.
local function read_host(hosts, name, now)
  local text = redis.call('HGET', hosts, name)
  local host = text and cjson.decode(text) or {started_ms = 0, answered_ms = 0, not_before_ms = 0, leases = {}}
  for id, expires_ms in pairs(host.leases) do
    if expires_ms <= now then host.leases[id] = nil end
  end
  if host.backoff and host.backoff.probe and not host.leases[host.backoff.probe] then host.backoff.probe = nil end
  return host, text ~= false
end

local function write_host(hosts, name, host)
  redis.call('HSET', hosts, name, cjson.encode(host))
end

-- Deletes hosts without a request for a day.
local function delete_idle_hosts(hosts, now)
  local all = redis.call('HGETALL', hosts)
  for at = 1, #all, 2 do
    local host = cjson.decode(all[at + 1])
    local used_ms = math.max(host.started_ms, host.not_before_ms, host.backoff and host.backoff.until_ms or 0)
    if used_ms + MAX_IDLE_MS < now then redis.call('HDEL', hosts, all[at]) end
  end
end
