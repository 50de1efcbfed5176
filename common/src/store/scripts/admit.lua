-- Decides whether a request to a host may start now.
--
-- KEYS  hosts
-- ARGV  host, lease id, minimum ms between two requests, concurrent requests, ms until the lease expires
-- Returns {granted, start in ms, ''} | {wait, for how many ms, ''} | {backed-off, until when in ms, reason}
--
-- With concurrency 1, the interval counts from the start of the previous response: only then is it certain that the
-- previous request had reached the site, however long it took to get there. Otherwise it counts from start to start.
--
-- After a back-off, one request probes the site; the others wait for its result.

local hosts = KEYS[1]
local name, lease, interval_ms, concurrency = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local host, known = read_host(hosts, name, now)
if not known then delete_idle_hosts(hosts, now) end

local backoff = host.backoff
if backoff and now < backoff.until_ms then return {'backed-off', backoff.until_ms, backoff.reason} end

local from_ms = host.started_ms
if concurrency == 1 then from_ms = math.max(from_ms, host.answered_ms) end
local due_ms = math.max(from_ms + interval_ms, host.not_before_ms)

local in_flight, free_ms = 0, nil
for _, expires_ms in pairs(host.leases) do
  in_flight = in_flight + 1
  free_ms = math.min(free_ms or expires_ms, expires_ms)
end
if in_flight >= concurrency or (backoff and backoff.probe) then
  -- The time when a slot becomes free is unknown: try again soon, and no later than the first lease expires.
  due_ms = math.max(due_ms, math.min(free_ms, now + math.max(interval_ms, 50)))
end
if due_ms > now then return {'wait', math.ceil(due_ms - now), ''} end

host.started_ms = math.ceil(now)
host.leases[lease] = math.ceil(now + tonumber(ARGV[5]))
if backoff then backoff.probe = lease end
write_host(hosts, name, host)
return {'granted', host.started_ms, ''}
