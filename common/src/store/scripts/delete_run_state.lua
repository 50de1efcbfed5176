-- Deletes the state that only a run in progress needs.
--
-- KEYS  submission, then the keys to delete
-- ARGV  fencing token
-- Returns put | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
redis.call('DEL', unpack(KEYS, 2))
return 'put'
