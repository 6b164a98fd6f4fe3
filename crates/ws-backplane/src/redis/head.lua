-- The epoch and the last offset of a topic, in e and o.
-- KEYS: 1 the topic, 2 its history. ARGV: 1 the run of the server, 2 an epoch that was never used.
-- Another run may have less than the one before had: its epoch is new, and inherits what there is.
local m = redis.call('HMGET', KEYS[1], 'e', 'o', 'r', 'f', 'g')
local e, o, f, g = m[1], m[2], m[4] or '', m[5] or '0'
if not e then
  e, o, f, g = ARGV[2], '0', '', '0'
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', e, 'o', o, 'r', ARGV[1])
elseif m[3] ~= ARGV[1] then
  f, g, e = e, o, ARGV[2]
  redis.call('HSET', KEYS[1], 'e', e, 'r', ARGV[1], 'f', f, 'g', g)
end
