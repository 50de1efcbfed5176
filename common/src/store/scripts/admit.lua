-- Decides whether a request to a host may start now.
--
-- KEYS  hosts
-- ARGV  host, lease id, least ms between the starts of two requests, requests under way at once,
--       ms until the lease runs out
-- Returns {go, when it starts in ms, ''} | {wait, for how many ms, ''} | {backed-off, until when in ms, reason}
--
-- With one request at once, the interval counts from when the answer before began: only then is it known
-- that the request before had reached the site, however long it was on its way. With several, it counts
-- from start to start.
--
-- Once a pause is over, one request tries whether the site serves again; the others wait for what comes of it.

local hosts = KEYS[1]
local name, lease, interval_ms, concurrency = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local host, known = read_host(hosts, name, now)
if not known then forget_idle_hosts(hosts, now) end

local backoff = host.backoff
if backoff and now < backoff.until_ms then return {'backed-off', backoff.until_ms, backoff.reason} end

local from_ms = host.started_ms
if concurrency == 1 then from_ms = math.max(from_ms, host.answered_ms) end
local due_ms = math.max(from_ms + interval_ms, host.not_before_ms)

local under_way, free_ms = 0, nil
for _, expires_ms in pairs(host.leases) do
  under_way = under_way + 1
  free_ms = math.min(free_ms or expires_ms, expires_ms)
end
if under_way >= concurrency or (backoff and backoff.probe) then
  -- Nobody knows when a place is given back: ask again before long, and at the latest when one runs out.
  due_ms = math.max(due_ms, math.min(free_ms, now + math.max(interval_ms, 50)))
end
if due_ms > now then return {'wait', math.ceil(due_ms - now), ''} end

host.started_ms = math.ceil(now)
host.leases[lease] = math.ceil(now + tonumber(ARGV[5]))
if backoff then backoff.probe = lease end
write_host(hosts, name, host)
return {'go', host.started_ms, ''}
