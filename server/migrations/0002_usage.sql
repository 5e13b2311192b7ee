-- What an answer cost, as the JSON that travels. Answers of before have it among their events.
ALTER TABLE messages ADD COLUMN usage TEXT;

UPDATE messages
SET usage = (
    SELECT json_extract(e.body, '$.data')
    FROM runs r JOIN run_events e ON e.run_id = r.id
    WHERE r.message_id = messages.id AND json_extract(e.body, '$.event') = 'usage'
    ORDER BY e.seq DESC
    LIMIT 1
);
