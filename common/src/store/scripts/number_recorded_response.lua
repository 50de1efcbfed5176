-- Returns the next number for a response that is recorded because it could not be parsed.
--
-- KEYS  submission
-- ARGV  limit
-- Returns the number, from 1; 0 if the limit is reached or the submission does not exist

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'recorded_responses') or 0) >= tonumber(ARGV[1]) then return 0 end
return redis.call('HINCRBY', KEYS[1], 'recorded_responses', 1)
