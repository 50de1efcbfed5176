-- Ends a host's back-off, and the delay that the site asked for.
--
-- KEYS  hosts
-- ARGV  host
-- Returns 1 if the host was backed off, else 0

local now = now_ms()
local host, known = read_host(KEYS[1], ARGV[1], now)
if not known then return 0 end
local was_backed_off = host.backoff and 1 or 0
host.backoff, host.not_before_ms = nil, 0
write_host(KEYS[1], ARGV[1], host)
return was_backed_off
