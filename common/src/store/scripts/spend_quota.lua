-- Takes units from what a key may spend in a day, unless it has not enough left.
--
-- KEYS  quotas
-- ARGV  key hash, day (YYYY-MM-DD), when it ends in ms, units, units a day, exhausted (0|1)
-- Returns {spent | exhausted, used, when there are more in ms}
--
-- `exhausted` says that the site itself refuses the key, whatever is counted here. It is asked again after an hour:
-- its day may begin a little later than ours, and limits may be raised. A caller whose day is over already, because
-- it asked just before midnight, spends from the new one.

local REFUSED_FOR_MS = 3600000

local quotas, key = KEYS[1], ARGV[1]
local day = {day = ARGV[2], resets_at_ms = tonumber(ARGV[3]), used = 0, refused = false}
local units, limit = tonumber(ARGV[4]), tonumber(ARGV[5])

local text = redis.call('HGET', quotas, key)
local known = text and cjson.decode(text)
if not known then
  -- A new key: the days of keys that are no longer used are of no use either.
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
