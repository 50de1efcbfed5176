-- Stores bytes with a submission.
--
-- KEYS  submission, blob
-- ARGV  fencing token, bytes
-- Returns put | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
redis.call('SET', KEYS[2], ARGV[2])
return 'put'
