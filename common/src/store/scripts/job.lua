-- What the scripts over job marks share; it precedes each of them.
--
-- A mark is the JSON in the hash `jobs` under the job's name: state, generation, heartbeat_ms, instance, worker,
-- exclusive, crashes, exclusive_crashes, blamed (the instances that the crashes stand for, and whether each ran the job
-- alone), not_before_ms (until when it rests between two attempts), until when it is snoozed and why, and the
-- history of what went wrong, newest last. Its generation is the one that was given out last; messages of any
-- other have no effect. So one that a store put back to an older state does not know of changes nothing either.

local HISTORY = 20

local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function read_job(jobs, name)
  local text = redis.call('HGET', jobs, name)
  return text and cjson.decode(text) or {crashes = 0, exclusive_crashes = 0}
end

-- The mark of a job that is still to be done; or nothing, and why what is said of the job has no effect.
local function open_job(submission, jobs, name, generation)
  local state = redis.call('HGET', submission, 'state')
  if not state then return nil, 'orphaned' end
  if state ~= 'running' then return nil, 'closed' end
  local job = read_job(jobs, name)
  if (job.generation or 0) ~= generation then return nil, 'stale' end
  if job.state == 'done' or job.state == 'discarded' then return nil, 'finished' end
  return job
end

local function write_job(jobs, name, job)
  job.heartbeat_ms = now_ms()
  redis.call('HSET', jobs, name, cjson.encode(job))
end

local function remember(job, worker, error)
  local history = job.history or {}
  history[#history + 1] = {at_ms = now_ms(), worker = worker, error = error}
  while #history > HISTORY do table.remove(history, 1) end
  job.history = history
end

-- A process that was taken for dead shows that it lives: it had only lost its connection to the broker.
local function acquit(job, instance)
  local exclusive = job.blamed and job.blamed[instance]
  if exclusive == nil then return false end
  job.blamed[instance] = nil
  if next(job.blamed) == nil then job.blamed = nil end
  job.crashes = job.crashes - 1
  if exclusive then job.exclusive_crashes = job.exclusive_crashes - 1 end
  remember(job, nil, 'the worker that had held this job lives: it had lost its connection')
  return true
end

-- Writes the results from ARGV[first] on (index, class, JSON) where there are none, and counts them.
-- Returns how many items failed in all.
local function apply_results(submission, results, first)
  local succeeded, cached, failed = 0, 0, 0
  for at = first, #ARGV, 3 do
    if redis.call('HSETNX', results, ARGV[at], ARGV[at + 2]) == 1 then
      if ARGV[at + 1] == 'failed' then
        failed = failed + 1
      else
        succeeded = succeeded + 1
        if ARGV[at + 1] == 'cached' then cached = cached + 1 end
      end
    end
  end
  redis.call('HINCRBY', submission, 'succeeded', succeeded)
  redis.call('HINCRBY', submission, 'cached', cached)
  return redis.call('HINCRBY', submission, 'failed', failed)
end
