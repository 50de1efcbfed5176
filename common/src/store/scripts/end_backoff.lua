-- Ends a host's pause, and forgets for how long the site asked not to be asked.
--
-- KEYS  hosts
-- ARGV  host
-- Returns 1 where it was paused, else 0

local now = now_ms()
local host, known = read_host(KEYS[1], ARGV[1], now)
if not known then return 0 end
local paused = host.backoff and 1 or 0
host.backoff, host.not_before_ms = nil, 0
write_host(KEYS[1], ARGV[1], host)
return paused
