-- Spends units of a key's daily quota, or none if too few are left.
--
-- KEYS  quotas
-- ARGV  key hash, day (YYYY-MM-DD), end of the day in ms, units, units per day, refused by the site (0|1)
-- Returns {spent | exhausted, used, when more units are available in ms}
--
-- If the site refuses the key, whatever the count here, the key is tried again after an hour: the site's day may begin
-- later than ours, and its limit may be raised. A call for the previous day, made just before midnight, spends from the
-- new day.

local REFUSED_FOR_MS = 3600000

local quotas, key = KEYS[1], ARGV[1]
local day = {day = ARGV[2], resets_at_ms = tonumber(ARGV[3]), used = 0, refused = false}
local units, limit = tonumber(ARGV[4]), tonumber(ARGV[5])

local text = redis.call('HGET', quotas, key)
local known = text and cjson.decode(text)
if not known then
  -- A new key is rare, so this is the time to delete the past days of keys that are no longer used.
  local all = redis.call('HGETALL', quotas)
  for at = 1, #all, 2 do
    if cjson.decode(all[at + 1]).day < day.day then redis.call('HDEL', quotas, all[at]) end
  end
end
if known and known.day >= day.day then day = known end
day.limit = limit
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[6] == '1' then
  day.refused, day.refused_until_ms = true, math.min(now + REFUSED_FOR_MS, day.resets_at_ms)
elseif day.refused and now >= (day.refused_until_ms or 0) then
  day.refused = false
end
local verdict = 'exhausted'
if not day.refused and day.used + units <= limit then
  verdict, day.used = 'spent', day.used + units
end
redis.call('HSET', quotas, key, cjson.encode(day))
return {verdict, day.used, day.refused and day.refused_until_ms or day.resets_at_ms}
