-- Adds a name of an image. The names with metadata come first, then the newest; all others are kept, up to 16.
--
-- KEYS  catalogue bucket
-- ARGV  digest, entry as JSON
--
-- The same item of the same dataset has one name. Without metadata, it does not replace one with.

local MOST = 16
local is_named = function(entry) return entry.video_id ~= nil or entry.channel ~= nil end

local entry = cjson.decode(ARGV[2])
local names, others = {}, {}
local add = function(name) table.insert(is_named(name) and names or others, name) end
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local known = stored and cjson.decode(stored) or {}
-- Earlier versions stored one entry.
if known.item then known = {known} end
for _, name in ipairs(known) do
  local is_same = name.dataset == entry.dataset and name.item == entry.item
  if is_same and is_named(name) and not is_named(entry) then entry = name end
end
add(entry)
for _, name in ipairs(known) do
  if name.dataset ~= entry.dataset or name.item ~= entry.item then add(name) end
end
for _, name in ipairs(others) do table.insert(names, name) end
for index = #names, MOST + 1, -1 do table.remove(names, index) end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(names))
